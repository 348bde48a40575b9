-- The number of a queue and a kind. ?1 queue, ?2 kind.
SELECT number FROM retry_lane WHERE queue = ?1 AND kind = ?2;
