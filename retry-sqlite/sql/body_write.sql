-- Another payload or other headers. ?1 number, ?2 payload or NULL to keep it, ?3 whether to set headers, ?4 headers.
UPDATE retry_body SET payload = coalesce(?2, payload), headers = iif(?3, ?4, headers) WHERE number = ?1;
