/** What runs in each thread of `thread-pool.ts`: renders letters and checks sources. It may be killed at any moment. */
import { parentPort } from 'node:worker_threads';
import { type Compiled, compileDefinition } from './compile.ts';
import { makeEngines, readFault, type TemplateFault } from './engine.ts';
import { plainText } from './plain-text.ts';
import { type Parsed, parseContent, type RenderInput, renderLetter } from './render.ts';
import type { Content, Definition, Rendered, TemplateKind } from './template.ts';

export interface RenderTask extends RenderInput {
  kind: 'render';
  /** Keys of sources that this or an earlier message brought. */
  letter: string;
  layout?: string;
}

export interface CompileTask {
  kind: 'compile';
  templateKind: TemplateKind;
  definition: Definition;
}

export type Task = RenderTask | CompileTask;

/** Sources travel once and are parsed once. */
export interface Order {
  tasks: Task[];
  sources: Record<string, Content>;
  /** Forget the sources of earlier messages first. */
  isAfresh: boolean;
}

export type ResultOf<T extends Task> = { value: T extends RenderTask ? Rendered : Compiled } | { fault: TemplateFault };
export type TaskResult = ResultOf<Task>;
export type Report = { index: number; result: TaskResult } | 'ready' | 'done';

// After this the tasks that are left go back, so that other tenants have their turn.
const sliceMs = 200;
// The whole mail may be 25 MiB.
const maxCharacters = 25 * 1024 * 1024;

const tools = { ...makeEngines(), plainText };
const sources = new Map<string, Content>();
const parsed = new Map<string, Parsed>();

const report = (message: Report) => parentPort?.postMessage(message);

parentPort?.on('message', async ({ tasks, sources: brought, isAfresh }: Order) => {
  if (isAfresh) {
    sources.clear();
    parsed.clear();
  }
  for (const [key, content] of Object.entries(brought)) sources.set(key, content);
  const start = performance.now();
  for (const [index, task] of tasks.entries()) {
    // One at a time: if this thread is killed, the first task without a result is the one to blame.
    report({ index, result: await run(task) });
    if (performance.now() - start > sliceMs) break;
  }
  report('done');
});
report('ready');

async function run(task: Task): Promise<TaskResult> {
  try {
    if (task.kind === 'compile') return { value: await compileDefinition(tools, task.templateKind, task.definition) };
    const layout = task.layout === undefined ? undefined : parsedOf(task.layout);
    const value = renderLetter(tools, parsedOf(task.letter), layout, task);
    const { subject, html = '', text = '' } = value;
    if (subject.length + html.length + text.length > maxCharacters) {
      return { fault: { kind: 'limit', message: 'the letter would be larger than 25 MiB' } };
    }
    return { value };
  } catch (error) {
    return { fault: readFault(error) };
  }
}

function parsedOf(key: string): Parsed {
  const known = parsed.get(key);
  if (known) return known;
  const source = sources.get(key);
  if (!source) throw new Error(`The source ${key} was not sent along.`);
  const made = parseContent(tools, source);
  parsed.set(key, made);
  return made;
}
