import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { makeEngines } from './engine.ts';
import { compileMjml } from './mjml.ts';

const { html } = makeEngines();
const document = (body: string, head = '') => `<mjml><mj-head>${head}</mj-head><mj-body>${body}</mj-body></mjml>`;
const column = (inner: string) => `<mj-section><mj-column>${inner}</mj-column></mj-section>`;

async function rendered(source: string, variables: object): Promise<string> {
  return String(html.renderSync(html.parse(await compileMjml(source)), variables));
}
const count = (text: string, pattern: RegExp) => text.match(pattern)?.length ?? 0;

describe('MJML with Liquid in it', () => {
  it('repeats and leaves out sections, columns, elements and rows', async () => {
    const source = document(`
      {% for s in list %}<mj-section>{% if s != 2 %}<mj-column>
        {% for e in list %}<mj-text>E{{ s }}{{ e }}</mj-text>{% endfor %}
      </mj-column>{% endif %}</mj-section>{% endfor %}
      ${column('<mj-table>{% for r in list %}<tr><td>R{{ r }}</td></tr>{% endfor %}</mj-table>')}`);
    const out = await rendered(source, { list: [1, 2, 3] });
    assert.deepEqual(out.match(/E\d\d/g), ['E11', 'E12', 'E13', 'E31', 'E32', 'E33']);
    assert.equal(count(out, /<tr><td>R\d/g), 3);
    assert.equal(count(out, /<table/g), count(out, /<\/table>/g));
    assert.equal(count(out, /<!--\[if mso \| IE\]>/g) > 0, true);
  });

  it('passes through attributes, styles, titles and comments', async () => {
    const source = document(
      column('<mj-button href="{{ url }}" background-color="{{ color }}">Go</mj-button><!-- {{ color }} -->'),
      '<mj-title>{{ title }}</mj-title><mj-preview>{% if title %}P{% endif %}</mj-preview><mj-style>.a { color: {{ color }} }</mj-style>',
    );
    const out = await rendered(source, { url: 'https://x.example/?a=1&b=2', color: '#123456', title: 'A < B' });
    assert.match(out, /href="https:\/\/x.example\/\?a=1&amp;b=2"/);
    assert.match(out, /<title>A &lt; B<\/title>/);
    assert.match(out, /\.a \{ color: #123456 \}/);
    assert.match(out, /background:#123456/);
    assert.doesNotMatch(out, /lqx|xql|\{\{/);
  });

  it('keeps comparisons and raw passages as they are', async () => {
    const source = document(
      column(
        '<mj-text>{% if 1 < 2 and "<b>" != "" %}yes{% endif %}{% raw %}{{ left }}{% endraw %}{% comment %}<mj-foo>{% endcomment %}</mj-text>',
      ),
    );
    assert.match(await rendered(source, {}), /yes\{\{ left \}\}/);
  });

  it('refuses a tag that MJML would lose', async () => {
    const source = document('<mj-section {% if a %}padding="0"{% endif %}><mj-column></mj-column></mj-section>');
    await assert.rejects(compileMjml(source), /no place for \{% if a %\}/);
  });

  it('reads no other file and says where a fault is', async () => {
    await assert.rejects(compileMjml(document('\n<mj-include path="/etc/passwd" />')), { line: 2 });
    await assert.rejects(compileMjml(document(`\n\n${column('<mj-nothing/>')}`)), { line: 3 });
    await assert.rejects(compileMjml('nothing'), /mjml/i);
  });
});
