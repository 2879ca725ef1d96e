import { newGeneration } from '../crypto/signing-keys.ts';
import { changeKeys, type KeyWorld } from './change-keys.ts';
import { advance, minPublishedSeconds } from './rotate-keys.ts';
import { deleteRetiredKeys, type Generation, readKeys } from './store.ts';

interface World extends KeyWorld {
  accessTokenSeconds: number;
  signingKeyDays: number;
}

/**
 * Does what is due: makes the first keys and those that an older version has left out, rotates by the calendar, and
 * deletes retired keys whose last token has ended. Every node does it when it starts and then by the hour; whoever comes
 * second finds nothing left to do.
 */
export async function keepSigningKeys(world: World): Promise<void> {
  const made = isRotationDue(world, await readKeys(world.db)) ? await newGeneration(world.secrets) : undefined;
  await changeKeys(world, async (tx, keys) => {
    await deleteRetiredKeys(tx, retiredSeconds(world.accessTokenSeconds));
    if (made && isRotationDue(world, keys.all)) await advance(tx, keys, made);
  });
}

function isRotationDue({ signingKeyDays }: World, all: Generation[]): boolean {
  const isOld = all.some(
    ({ state, activeSeconds }) => state === 'current' && (activeSeconds ?? 0) >= signingKeyDays * 86_400,
  );
  return (
    isOld && all.some(({ state, publishedSeconds }) => state === 'next' && publishedSeconds >= minPublishedSeconds)
  );
}

/** As long as its last token lives, and a little: a node may sign with it for half a minute more, and clocks differ. */
function retiredSeconds(accessTokenSeconds: number): number {
  // Not less than the default: the setting may have been longer before this start.
  return Math.max(accessTokenSeconds, 3_600) + 120;
}
