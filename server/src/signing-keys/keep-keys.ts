import { changeKeys, type KeyWorld } from './change-keys.ts';
import { advance, minPublishedSeconds } from './rotate-keys.ts';
import { deleteRetiredKeys } from './store.ts';

interface World extends KeyWorld {
  accessTokenSeconds: number;
  signingKeyDays: number;
}

/**
 * Does what is due: makes the first keys, rotates by the calendar, and deletes retired keys whose last token has ended.
 * Every node does it when it starts and then by the hour; whoever comes second finds nothing left to do.
 */
export async function keepSigningKeys(world: World): Promise<void> {
  await changeKeys(world, async (tx, keys) => {
    await deleteRetiredKeys(tx, retiredSeconds(world.accessTokenSeconds));
    const isOld = (keys.current.activeSeconds ?? 0) >= world.signingKeyDays * 86_400;
    if (isOld && keys.next.publishedSeconds >= minPublishedSeconds) await advance(world, tx, keys);
  });
}

/** As long as its last token lives, and a little: a node may sign with it for half a minute more, and clocks differ. */
function retiredSeconds(accessTokenSeconds: number): number {
  // Not less than the default: the setting may have been longer before this start.
  return Math.max(accessTokenSeconds, 3_600) + 120;
}
