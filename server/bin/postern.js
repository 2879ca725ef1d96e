#!/usr/bin/env node
// The installed command. It only looks at the runtime before anything else is loaded: an older Node.js would stop at
// the first import it does not know, without a word that helps.
if (Number(process.versions.node.split('.')[0]) >= 24) {
  await import('../dist/main.js');
} else {
  console.error(
    `Postern needs Node.js 24 or newer; this is ${process.versions.node}. Install a newer one, or put one beside ` +
      'Postern with "npm install node@24" and run "npx postern".',
  );
  process.exitCode = 1;
}
