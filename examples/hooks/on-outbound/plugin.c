/* Sends the operator's token for an upstream along, unseen. */
#define SLUICE_ON_OUTBOUND
#define SLUICE_IMPLEMENTATION
#include <sluice.h>

static sluice_string_t secret_name;

void sluice_describe(sluice_manifest_t *m) {
  sluice_manifest(m, "example-on-outbound", "0.1.0", "Sends the operator's token for an upstream along, unseen.");
  sluice_schema(m, "{\"type\":\"object\",\"properties\":{\"secret\":{\"type\":\"string\"}},\"required\":[\"secret\"]}");
  sluice_need(m, "outbound", "to set a header", false);
  sluice_need(m, "secret", "the token", false);
  m->stateless = true;
}

bool sluice_init(sluice_string_t config, sluice_string_t *error) {
  sluice_string_t json;
  if (!sluice_json_member(config, "secret", &json)) return *error = sluice_copied("no secret"), false;
  secret_name = sluice_json_text(json);
  return true;
}

static sluice_outbound_verdict_t rejected(sluice_rejection_t no) {
  sluice_outbound_verdict_t verdict = {0};
  verdict.tag = EXPORTS_SLUICE_FILTER_ON_OUTBOUND_OUTBOUND_VERDICT_REJECT;
  verdict.val.reject = no;
  return verdict;
}

static bool is_challenged(sluice_departure_t d) {
  sluice_filter_outbound_challenge_t challenge;
  bool is = sluice_filter_outbound_method_departure_challenge(d, &challenge);
  if (is) sluice_filter_outbound_challenge_free(&challenge);
  return is;
}

static sluice_rejection_t not_taken(sluice_departure_t d) {
  sluice_string_t upstream;
  sluice_filter_outbound_method_departure_upstream(d, &upstream);
  sluice_buf_t message = {0};
  sluice_buf_add(&message, upstream);
  sluice_buf_add_text(&message, " does not take the token");
  sluice_string_free(&upstream);
  sluice_rejection_t no = {0};
  no.code = 4040;
  no.message = sluice_buf_take(&message);
  return no;
}

sluice_outbound_verdict_t sluice_on_outbound(sluice_departure_t d, sluice_exchange_t x) {
  (void)x;
  sluice_filter_secrets_own_secret_t token;
  sluice_filter_secrets_error_t error;
  if (!sluice_filter_secrets_static_secret_open(&secret_name, &token, &error)) {
    sluice_filter_secrets_error_free(&error);
    return rejected(sluice_rejection(4041, "there is no token"));
  }
  sluice_filter_outbound_borrow_secret_t lent = {token.__handle};
  /* Refused with another, the request may leave once more with this one. */
  if (is_challenged(d) && sluice_filter_outbound_method_departure_refused(d, lent)) {
    sluice_filter_secrets_secret_drop_own(token);
    return rejected(not_taken(d));
  }
  sluice_outbound_verdict_t verdict = sluice_leave();
  sluice_header_secret(&verdict, "authorization", "Bearer ", token);
  return verdict;
}
