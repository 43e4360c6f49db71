/* Keeps servers' debug messages from clients. */
#define SLUICE_ON_NOTIFICATION
#define SLUICE_IMPLEMENTATION
#include <sluice.h>

void sluice_describe(sluice_manifest_t *m) {
  sluice_manifest(m, "example-on-notification", "0.1.0", "Keeps servers' debug messages from clients.");
  sluice_select(m, EXPORTS_SLUICE_FILTER_DESCRIBE_HOOK_ON_NOTIFICATION, "notifications/message", NULL);
  m->stateless = true;
}

bool sluice_init(sluice_string_t config, sluice_string_t *error) {
  (void)config, (void)error;
  return true;
}

sluice_notification_verdict_t sluice_on_notification(const sluice_head_t *head, sluice_exchange_t x) {
  (void)head;
  sluice_notification_verdict_t verdict = {0};
  sluice_string_t level;
  verdict.tag = EXPORTS_SLUICE_FILTER_ON_NOTIFICATION_NOTIFICATION_VERDICT_NEXT;
  if (!sluice_get(x, "/params/level", &level)) return verdict;
  if (sluice_is(level, "\"debug\"")) verdict.tag = EXPORTS_SLUICE_FILTER_ON_NOTIFICATION_NOTIFICATION_VERDICT_DROP;
  sluice_string_free(&level);
  return verdict;
}
