/* Reading the JSON of settings and values, and writing strings. The host has checked all of it, so nothing is checked again. */
#ifndef SLUICE_JSON_H
#define SLUICE_JSON_H

/* The value of a member of a JSON object, as a part of it. */
bool sluice_json_member(sluice_string_t object, const char *name, sluice_string_t *value);
/* The next item of an array: start with `rest` = the array. `item` is a part of it. */
bool sluice_json_next(sluice_string_t *rest, sluice_string_t *item);
/* The content of a JSON string, malloc'ed. */
sluice_string_t sluice_json_text(sluice_string_t json);
/* A whole number; what is none is 0. */
int64_t sluice_json_number(sluice_string_t json);
/* Adds a JSON string with this content. */
void sluice_json_quote(sluice_buf_t *b, sluice_string_t text);

#ifdef SLUICE_IMPLEMENTATION

static const uint8_t *sluice_json_space(const uint8_t *at, const uint8_t *end) {
  while (at < end && (*at == ' ' || *at == '\n' || *at == '\r' || *at == '\t' || *at == ',' || *at == ':')) at++;
  return at;
}

/* Behind the value that begins here. */
static const uint8_t *sluice_json_skip(const uint8_t *at, const uint8_t *end) {
  size_t depth = 0;
  do {
    at = sluice_json_space(at, end);
    if (at == end) return end;
    if (*at == '"') {
      for (at++; at < end && *at != '"'; at++) at += *at == '\\';
      at++;
    } else if (*at == '{' || *at == '[') {
      depth++, at++;
    } else if (*at == '}' || *at == ']') {
      depth--, at++;
    } else {
      while (at < end && !strchr(" \n\r\t,:{}[]\"", *at)) at++;
    }
    if (depth) at = sluice_json_space(at, end);
  } while (depth && at < end);
  return at > end ? end : at;
}

bool sluice_json_next(sluice_string_t *rest, sluice_string_t *item) {
  const uint8_t *end = rest->ptr + rest->len, *at = sluice_json_space(rest->ptr, end);
  /* The bracket is only there the first time. */
  if (at < end && *at == '[' && rest->len && end[-1] == ']') at = sluice_json_space(at + 1, end--);
  else if (rest->len && end[-1] == ']') end--;
  if (at >= end) return false;
  const uint8_t *after = sluice_json_skip(at, end);
  item->ptr = (uint8_t *)at;
  item->len = (size_t)(after - at);
  after = sluice_json_space(after, end);
  rest->ptr = (uint8_t *)after;
  rest->len = (size_t)(end - after);
  return true;
}

bool sluice_json_member(sluice_string_t object, const char *name, sluice_string_t *value) {
  const uint8_t *end = object.ptr + object.len, *at = sluice_json_space(object.ptr, end);
  if (at == end || *at != '{') return false;
  for (at = sluice_json_space(at + 1, end); at < end && *at == '"'; at = sluice_json_space(at, end)) {
    sluice_string_t key = {(uint8_t *)at, 0};
    at = sluice_json_skip(at, end);
    key.len = (size_t)(at - key.ptr);
    sluice_string_t said = sluice_json_text(key);
    bool found = sluice_is(said, name);
    sluice_string_free(&said);
    at = sluice_json_space(at, end);
    value->ptr = (uint8_t *)at;
    at = sluice_json_skip(at, end);
    value->len = (size_t)(at - value->ptr);
    if (found) return true;
  }
  return false;
}

static uint32_t sluice_json_hex(const uint8_t *at) {
  uint32_t unit = 0;
  for (int i = 0; i < 4; i++) unit = unit * 16 + (uint32_t)(at[i] <= '9' ? at[i] - '0' : (at[i] | 32) - 'a' + 10);
  return unit;
}

static size_t sluice_json_utf8(uint32_t c, uint8_t *out) {
  if (c < 0x80) return out[0] = (uint8_t)c, 1;
  if (c < 0x800) return out[0] = (uint8_t)(0xc0 | c >> 6), out[1] = (uint8_t)(0x80 | (c & 63)), 2;
  if (c < 0x10000) return out[0] = (uint8_t)(0xe0 | c >> 12), out[1] = (uint8_t)(0x80 | (c >> 6 & 63)), out[2] = (uint8_t)(0x80 | (c & 63)), 3;
  out[0] = (uint8_t)(0xf0 | c >> 18), out[1] = (uint8_t)(0x80 | (c >> 12 & 63)), out[2] = (uint8_t)(0x80 | (c >> 6 & 63));
  return out[3] = (uint8_t)(0x80 | (c & 63)), 4;
}

sluice_string_t sluice_json_text(sluice_string_t json) {
  /* The content is never longer than the text. */
  sluice_string_t out = {malloc(json.len + 1), 0};
  if (!out.ptr) abort();
  const uint8_t *at = json.ptr + 1, *end = json.ptr + json.len - (json.len > 1);
  while (at < end) {
    if (*at != '\\') {
      out.ptr[out.len++] = *at++;
    } else if (at[1] != 'u') {
      const char *known = strchr("b\bf\fn\nr\rt\t", at[1]);
      out.ptr[out.len++] = known ? (uint8_t)known[1] : at[1];
      at += 2;
    } else {
      uint32_t c = sluice_json_hex(at + 2);
      at += 6;
      if (c >= 0xd800 && c < 0xdc00) c = 0x10000 + ((c - 0xd800) << 10) + (sluice_json_hex(at + 2) - 0xdc00), at += 6;
      out.len += sluice_json_utf8(c, out.ptr + out.len);
    }
  }
  return out;
}

int64_t sluice_json_number(sluice_string_t json) {
  int64_t out = 0;
  size_t at = json.len && json.ptr[0] == '-';
  for (; at < json.len; at++) {
    if (json.ptr[at] < '0' || json.ptr[at] > '9') return 0;
    out = out * 10 + (json.ptr[at] - '0');
  }
  return json.len && json.ptr[0] == '-' ? -out : out;
}

void sluice_json_quote(sluice_buf_t *b, sluice_string_t text) {
  sluice_buf_add_text(b, "\"");
  for (size_t i = 0; i < text.len; i++) {
    uint8_t c = text.ptr[i], escaped[7] = "\\u0000";
    sluice_string_t piece = {&text.ptr[i], 1};
    if (c == '"' || c == '\\') sluice_buf_add_text(b, "\\");
    if (c < ' ') {
      escaped[4] = (uint8_t)('0' + (c >> 4));
      escaped[5] = (uint8_t)"0123456789abcdef"[c & 15];
      piece = sluice_str((const char *)escaped);
    }
    sluice_buf_add(b, piece);
  }
  sluice_buf_add_text(b, "\"");
}

#endif
#endif
