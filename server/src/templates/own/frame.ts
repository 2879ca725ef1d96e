/**
 * The frame of Postern's own letters, as Liquid: a table of one column, at most 480 pixels wide, because mail programs
 * know nothing else. Colours stand inline; programs that darken letters may, and the grey keeps its contrast on both
 * grounds.
 */
export function frame({ title, preview, body }: { title: string; preview: string; body: string }): string {
  return `<!doctype html>
<html lang="{{ language }}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="supported-color-schemes" content="light dark">
<title>${title}</title>
</head>
<body style="margin:0;padding:0">
<div style="display:none;max-height:0;overflow:hidden">${preview}</div>
<table role="presentation" width="100%" cellpadding="0" cellspacing="0" border="0">
<tr><td align="center" style="padding:32px 16px">
<table role="presentation" width="100%" cellpadding="0" cellspacing="0" border="0" style="max-width:480px">
<tr><td style="font:16px/1.5 -apple-system,'Segoe UI',Roboto,Helvetica,Arial,sans-serif;text-align:left">
${body}
</td></tr>
</table>
</td></tr>
</table>
</body>
</html>
`;
}

/** A button to the letter's link, and the link in letters beneath it, for who has to copy it. */
export function button(label: string): string {
  return `<table role="presentation" cellpadding="0" cellspacing="0" border="0"><tr>
<td style="border-radius:6px;background:#2456c4"><a href="{{ link }}" style="display:inline-block;padding:12px 24px;color:#ffffff;font-weight:600;text-decoration:none">${label}</a></td>
</tr></table>
<p style="margin:16px 0 0;color:#6b7480;font-size:13px;word-break:break-all">{{ link }}</p>`;
}
