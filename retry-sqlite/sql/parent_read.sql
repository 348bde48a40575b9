-- L8: what the end of a child needs to know of its parent. ?1 the parent's id.
SELECT state, open, failed FROM retry_task WHERE id = ?1;
