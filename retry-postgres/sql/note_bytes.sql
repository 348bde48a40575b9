-- How much of notes travels with a claim. $1 ids.
SELECT id, coalesce(octet_length(checkpoint), 0) + coalesce(octet_length(completion), 0)
  FROM {schema}.note WHERE id = ANY ($1::uuid[]);
