import type Provider from 'oidc-provider';
import type { KeySet } from '../../crypto/signing-keys.ts';
import type { ProviderWorld } from './configuration.ts';

export type ProviderFor = (keys: KeySet) => Promise<Provider>;

/**
 * An instance holds the keys of one moment: each key set has its own, and the last two or so are kept. The library, a sixth
 * of the code there is, is loaded with the first call of a flow: that is a client that reads the metadata, before anybody
 * waits at a browser.
 */
export function makeProviderFor(world: ProviderWorld): ProviderFor {
  const known = new WeakMap<KeySet, Provider>();
  // To ask the loader again each time would take a twentieth of an authorization.
  let library: Promise<typeof import('./provider.ts')> | undefined;
  return async (keys) => {
    library ??= import('./provider.ts');
    const { makeProvider } = await library;
    const provider = known.get(keys) ?? makeProvider(world, keys);
    known.set(keys, provider);
    return provider;
  };
}
