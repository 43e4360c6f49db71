type Raw = import('sluice:filter/types@0.1.0').Head;
type Method = import('sluice:filter/types@0.1.0').Method;
export type Direction = import('sluice:filter/types@0.1.0').Direction;
export type Kind = import('sluice:filter/types@0.1.0').Kind;

/** The cheap facts of a message; the rest is asked of the exchange. */
export interface Head {
  /** Host-wide id, the same from the request to `onDone`, over all its rounds. */
  exchange: bigint;
  /** How often the client has come back with answers. */
  round: number;
  direction: Direction;
  kind: Kind;
  /** By its name in the protocol: `tools/call`. Of a response: the method it answers. */
  method: string;
  /** Tool or prompt name, or resource URI, as the client sees it. */
  name: string | undefined;
  /** Size of the message as this filter received it. */
  bodyBytes: number;
}

/** The contract writes `-` for `/` and `_`, so the names of the protocol have to be told apart here. A case that is missing does not compile. */
const METHODS: Record<Exclude<Method['tag'], 'other'>, string> = {
  'tools-list': 'tools/list',
  'tools-call': 'tools/call',
  'resources-list': 'resources/list',
  'resources-templates-list': 'resources/templates/list',
  'resources-read': 'resources/read',
  'resources-subscribe': 'resources/subscribe',
  'resources-unsubscribe': 'resources/unsubscribe',
  'prompts-list': 'prompts/list',
  'prompts-get': 'prompts/get',
  'completion-complete': 'completion/complete',
  'subscriptions-listen': 'subscriptions/listen',
  'sampling-create-message': 'sampling/createMessage',
  'roots-list': 'roots/list',
  'elicitation-create': 'elicitation/create',
  'tasks-get': 'tasks/get',
  'tasks-cancel': 'tasks/cancel',
  'tasks-result': 'tasks/result',
  'tasks-list': 'tasks/list',
  'tasks-update': 'tasks/update',
  'notifications-cancelled': 'notifications/cancelled',
  'notifications-progress': 'notifications/progress',
  'notifications-message': 'notifications/message',
  'notifications-roots-list-changed': 'notifications/roots/list_changed',
  'notifications-tools-list-changed': 'notifications/tools/list_changed',
  'notifications-prompts-list-changed': 'notifications/prompts/list_changed',
  'notifications-resources-list-changed': 'notifications/resources/list_changed',
  'notifications-resources-updated': 'notifications/resources/updated',
  'notifications-elicitation-complete': 'notifications/elicitation/complete',
  'notifications-tasks-status': 'notifications/tasks/status',
  'notifications-tasks': 'notifications/tasks',
};

/** The contract's own record, with the method's name in place of its case: a copy would cost each call. */
export function head(raw: Raw): Head {
  const head = raw as unknown as Head;
  const { method } = raw;
  head.method = method.tag === 'other' ? method.val : METHODS[method.tag];
  return head;
}
