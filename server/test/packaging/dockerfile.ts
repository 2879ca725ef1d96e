/**
 * Carries out a Dockerfile without Docker: each stage is a folder, its files are copied and its commands run in order.
 * It knows what our Dockerfile uses, and refuses the rest rather than skip it.
 */
import { cpSync, mkdirSync, readFileSync, statSync, symlinkSync } from 'node:fs';
import { basename, dirname, join, matchesGlob, relative } from 'node:path';
import { cleanEnvironment, run } from './clean-environment.ts';

export interface Stage {
  /** The folder that stands for `/`. */
  root: string;
  workdir: string;
  env: Record<string, string>;
  user: string | undefined;
  cmd: string[];
  healthcheck: string[];
}

/** Builds the last stage and, as Docker does, only the stages it needs. @returns that last stage */
export async function buildImage(dockerfile: string, context: string, folder: string): Promise<Stage> {
  const stages = new Map<string, Stage>();
  const ignored = ignorePatterns(context);
  const all = instructions(readFileSync(dockerfile, 'utf8'));
  const needed = neededStages(all);
  let stage: Stage | undefined;
  for (const { name, rest } of all) {
    if (name === 'FROM') {
      const [base = '', as] = stageOf(rest);
      stage = needed.has(as) ? openStage(stages.get(base), join(folder, as)) : undefined;
      if (stage) stages.set(as, stage);
    } else if (stage) {
      await carryOut(stage, name, rest, { stages, context, ignored });
    }
  }
  if (!stage) throw new Error('The Dockerfile has no FROM.');
  return stage;
}

/** `FROM base AS name`: each of our stages has a name. */
function stageOf(from: string): [base: string, name: string] {
  const [base = '', , name] = from.split(' ');
  if (name === undefined) throw new Error(`The stage FROM ${from} has no name.`);
  return [base, name];
}

function neededStages(all: { name: string; rest: string }[]): Set<string> {
  const needs = new Map<string, string[]>();
  let last = '';
  for (const { name, rest } of all) {
    const copied = name === 'COPY' ? /^--from=(\S+) /.exec(rest)?.[1] : undefined;
    if (name === 'FROM') {
      const [base, as] = stageOf(rest);
      needs.set(as, [base]);
      last = as;
    } else if (copied !== undefined) {
      needs.get(last)?.push(copied);
    }
  }
  const needed = new Set([last]);
  // A set's iteration comes upon what is added to it on the way.
  for (const stage of needed) for (const one of needs.get(stage) ?? []) if (needs.has(one)) needed.add(one);
  return needed;
}

function instructions(text: string): { name: string; rest: string }[] {
  return text
    .replace(/^\s*#.*\n/gm, '')
    .replace(/\\\n/g, ' ')
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map((line) => ({ name: line.split(' ')[0] ?? '', rest: line.slice(line.indexOf(' ') + 1).trim() }));
}

function openStage(base: Stage | undefined, root: string): Stage {
  mkdirSync(root, { recursive: true });
  if (!base) return { root, workdir: '/', env: {}, user: undefined, cmd: [], healthcheck: [] };
  cpSync(base.root, root, { recursive: true, verbatimSymlinks: true });
  return { ...base, root, env: { ...base.env } };
}

interface Build {
  stages: Map<string, Stage>;
  context: string;
  ignored: string[];
}

async function carryOut(stage: Stage, name: string, rest: string, build: Build): Promise<void> {
  switch (name) {
    case 'WORKDIR':
      stage.workdir = rest;
      mkdirSync(join(stage.root, rest), { recursive: true });
      return;
    case 'COPY':
      return copy(stage, rest, build);
    case 'RUN':
      return runCommand(stage, rest);
    case 'ENV':
      for (const pair of rest.split(' ')) stage.env[pair.split('=')[0] ?? ''] = pair.slice(pair.indexOf('=') + 1);
      return;
    case 'USER':
      stage.user = rest;
      return;
    case 'CMD':
      stage.cmd = JSON.parse(rest);
      return;
    case 'HEALTHCHECK':
      stage.healthcheck = JSON.parse(rest.slice(rest.indexOf('CMD ') + 4));
      return;
    case 'VOLUME':
    case 'EXPOSE':
      return;
    default:
      throw new Error(`This test does not know the instruction ${name}.`);
  }
}

function copy(stage: Stage, rest: string, { stages, context, ignored }: Build): void {
  const from = /^--from=(\S+) /.exec(rest)?.[1];
  const source = from === undefined ? context : stages.get(from)?.root;
  if (source === undefined) throw new Error(`There is no stage ${from}.`);
  const paths = rest.replace(/^--from=\S+ /, '').split(' ');
  const target = paths.pop() ?? '';
  const into = target.startsWith('/') ? join(stage.root, target) : join(stage.root, stage.workdir, target);
  for (const path of paths) {
    const isFolder = statSync(join(source, path)).isDirectory();
    const destination = !isFolder && target.endsWith('/') ? join(into, basename(path)) : into;
    cpSync(join(source, path), destination, {
      recursive: true,
      verbatimSymlinks: true,
      filter: (file) => from !== undefined || !ignored.some((pattern) => matchesGlob(relative(source, file), pattern)),
    });
  }
}

function ignorePatterns(context: string): string[] {
  const lines = readFileSync(join(context, '.dockerignore'), 'utf8').split('\n');
  return lines.filter((line) => line !== '' && !line.startsWith('#'));
}

async function runCommand(stage: Stage, command: string): Promise<void> {
  // What would reach outside the stage's folder is done inside it; users and owners are root's to give.
  const link = /^ln -s (\/\S+) (\/\S+)$/.exec(command);
  const ownFolder = /^install -d -o node -g node -m 700 (\/\S+)$/.exec(command);
  if (link?.[1] && link[2]) {
    mkdirSync(dirname(join(stage.root, link[2])), { recursive: true });
    symlinkSync(join(stage.root, link[1]), join(stage.root, link[2]));
  } else if (ownFolder?.[1]) {
    mkdirSync(join(stage.root, ownFolder[1]), { recursive: true, mode: 0o700 });
  } else {
    await run('sh', ['-c', command], join(stage.root, stage.workdir), runEnvironment(stage));
  }
}

/** What a process of the image sees; paths of its settings lead into the stage's folder. */
export function runEnvironment(stage: Stage): NodeJS.ProcessEnv {
  const env = cleanEnvironment(join(stage.root, 'usr/local/bin'));
  for (const [name, value] of Object.entries(stage.env)) {
    env[name] = value.startsWith('/') ? join(stage.root, value) : value;
  }
  return env;
}
