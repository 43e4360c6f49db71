/** Answers at a path of its own. */
import { plugin } from '@sluice/sdk';

export default plugin({
  manifest: {
    name: 'example-on-http',
    version: '0.1.0',
    summary: 'Answers at a path of its own.',
    routes: [{ path: '/-/example-on-http/*' }],
    stateless: true,
  },
  hooks: ['onHttp'],
  init: () => ({
    onHttp(request) {
      if (request.path !== '/-/example-on-http/hello') return { status: 404, headers: [], body: new Uint8Array() };
      const body = new TextEncoder().encode(`{"endpoint": "${request.base}/mcp"}`);
      return { status: 200, headers: [['content-type', 'application/json']], body };
    },
  }),
});
