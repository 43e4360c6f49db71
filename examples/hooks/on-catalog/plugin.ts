/** Hides destructive tools from callers without the scope `admin`. */
import { plugin, type Viewer } from '@sluice/sdk';

export default plugin({
  manifest: {
    name: 'example-on-catalog',
    version: '0.1.0',
    summary: 'Hides destructive tools from callers without the scope admin.',
    stateless: true,
  },
  hooks: ['onCatalog'],
  init: () => ({
    onCatalog: (viewer, kind, entries) => {
      const scopes = (viewer.attr('principal.scopes') ?? '').split(' ');
      if (kind !== 'tools' || scopes.includes('admin')) return { changes: [], added: [] };
      const change = (at: number) => (isDestructive(viewer, at) ? { tag: 'hide' as const } : { tag: 'keep' as const });
      return { changes: [...entries.keys()].map(change), added: [] };
    },
  }),
});

function isDestructive(viewer: Viewer, at: number): boolean {
  const definition = JSON.parse(viewer.definition(at) ?? '{}') as { annotations?: { destructiveHint?: boolean } };
  return definition.annotations?.destructiveHint === true;
}
