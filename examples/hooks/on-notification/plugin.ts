/** Keeps servers' debug messages from clients. */
import { next, notification, plugin } from '@sluice/sdk';

export default plugin({
  manifest: {
    name: 'example-on-notification',
    version: '0.1.0',
    summary: "Keeps servers' debug messages from clients.",
    selectors: [{ hook: 'on-notification', methods: ['notifications/message'] }],
    stateless: true,
  },
  hooks: ['onNotification'],
  init: () => ({
    onNotification: (_, x) => (x.get('/params/level') === 'debug' ? notification.drop : next),
  }),
});
