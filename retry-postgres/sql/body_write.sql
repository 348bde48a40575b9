-- Another payload or other headers. $1 id, $2 payload or NULL to keep it, $3 whether to set headers, $4 headers. Answers
-- the size of both.
UPDATE {schema}.body
   SET payload = coalesce($2::text, payload), headers = CASE WHEN $3::boolean THEN $4::text ELSE headers END
 WHERE id = $1::uuid
RETURNING octet_length(payload) + coalesce(octet_length(headers), 0);
