import * as fc from "fast-check";
import { expect, test } from "vitest";
import { redact } from "../../src/trace/redact.ts";

test.each([
  ["mail to ann@example.com bounced", "mail to {email} bounced"],
  ["Authorization: Bearer abc.def-123456", "Authorization: Bearer {token}"],
  ["jwt eyJhbGciOi.eyJzdWIiOi.c2lnbmF0 expired", "jwt {token} expired"],
  ["AKIAIOSFODNN7EXAMPLE is no key", "{key} is no key"],
  ["amqp://app:pw@queue:5672 refused", "amqp://{secret}@queue:5672 refused"],
  ["password=hunter2&user=ann", "password={secret}&user=ann"],
  ['{"api_key": "abc", "id": 7}', '{"api_key": {secret}, "id": 7}'],
  ["card 4111-1111-1111-1111", "card {card}"],
  ["at SELECT x FROM t WHERE a = 'b' AND c = 12", "at SELECT x FROM t WHERE a = ? AND c = ?"],
  ["Key (mail)=(ann) exists", "Key (mail)=(?) exists"],
  ["Duplicate entry 'ann' for key 'mail'", "Duplicate entry ? for key 'mail'"],
])("%s", (text, clean) => {
  expect(redact(text)).toBe(clean);
});

test.each([
  "trace 0af7651916cd43dd8448eb211c80319c span 00f067aa0ba902b7",
  "job 123e4567-e89b-12d3-a456-426614174000 failed after 30s",
  "connect ECONNREFUSED 10.0.0.7:5432",
  "order 4111111111111112 not found",
  "invalid token: unexpected end of input at line 3",
  "update of the cart failed: 3 of 5 items",
])("%s stays as it is", (text) => {
  expect(redact(text)).toBe(text);
});

const pieces = fc.constantFrom(
  ..."password= | secret | token=\" | Bearer | abcdef123 | @ | example.com | :// | : | 4111 | 1111 | select | from | insert into | ' | ? | (a)=(b) | {secret} | {email} | eyJ | . | = | , | \n | ) | }".split(
    "|",
  ),
);

test("redacting twice is redacting once, and makes no text much longer", () => {
  fc.assert(
    fc.property(fc.array(fc.oneof(pieces, fc.string({ maxLength: 8 })), { maxLength: 20 }), (parts) => {
      const text = parts.join("");
      const once = redact(text);
      expect(redact(once)).toBe(once);
      expect(once.length).toBeLessThanOrEqual(text.length * 3 + 16);
    }),
    { numRuns: 2000 },
  );
});
