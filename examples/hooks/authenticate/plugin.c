/* Knows one caller by a bearer token. */
#define SLUICE_AUTHENTICATE
#define SLUICE_IMPLEMENTATION
#include <sluice.h>

static sluice_string_t token, subject;

void sluice_describe(sluice_manifest_t *m) {
  sluice_manifest(m, "example-authenticate", "0.1.0", "Knows one caller by a bearer token.");
  sluice_schema(m, "{\"type\":\"object\",\"properties\":{\"token\":{\"type\":\"string\"},\"subject\":{\"type\":\"string\"}},"
                   "\"required\":[\"token\",\"subject\"]}");
  m->stateless = true;
}

bool sluice_init(sluice_string_t config, sluice_string_t *error) {
  sluice_string_t json;
  if (!sluice_json_member(config, "token", &json)) return *error = sluice_copied("no token"), false;
  token = sluice_json_text(json);
  if (!sluice_json_member(config, "subject", &json)) return *error = sluice_copied("no subject"), false;
  subject = sluice_json_text(json);
  return true;
}

sluice_outcome_t sluice_authenticate(const sluice_credential_t *c, sluice_exchange_t x) {
  (void)x;
  sluice_outcome_t outcome = {0};
  bool is_bearer = sluice_is(c->scheme, "bearer");
  if (is_bearer && sluice_equal(c->value, token)) {
    outcome.tag = EXPORTS_SLUICE_FILTER_AUTHENTICATE_OUTCOME_IDENTIFIED;
    outcome.val.identified.subject = sluice_copy(subject);
    outcome.val.identified.ttl_ms = 60000;
  } else if (is_bearer || sluice_is(c->scheme, "none")) {
    sluice_rejection_t no = sluice_rejection(4010, "a bearer token is needed");
    no.http_status.is_some = true;
    no.http_status.val = 401;
    no.http_headers.ptr = calloc(1, sizeof *no.http_headers.ptr);
    if (!no.http_headers.ptr) abort();
    no.http_headers.len = 1;
    no.http_headers.ptr[0].f0 = sluice_copied("www-authenticate");
    no.http_headers.ptr[0].f1 = sluice_copied("Bearer");
    outcome.tag = EXPORTS_SLUICE_FILTER_AUTHENTICATE_OUTCOME_CHALLENGE;
    outcome.val.challenge = no;
  } else {
    outcome.tag = EXPORTS_SLUICE_FILTER_AUTHENTICATE_OUTCOME_ABSTAIN;
  }
  return outcome;
}
