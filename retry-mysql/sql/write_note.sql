-- Writes notes: new ones whole, of old ones the columns that `changed` names: 1 reruns, 2 via_fallback, 4 last_error,
-- 8 checkpoint, 16 output, 32 completion, 64 early, 128 the early completion becomes the delivered one.
-- The assignments are made from left to right: `completion` reads `early` before that is overwritten.
-- Parameters of each: id, changed, reruns, via_fallback, last_error, checkpoint, output, completion, early.
INSERT INTO retry_note (id, changed, reruns, via_fallback, last_error, checkpoint, output, completion, early)
VALUES {row (?, ?, ?, ?, ?, ?, ?, ?, ?)}
ON DUPLICATE KEY UPDATE
  reruns       = IF(VALUES(changed) & 1, VALUES(reruns), reruns),
  via_fallback = IF(VALUES(changed) & 2, VALUES(via_fallback), via_fallback),
  last_error   = IF(VALUES(changed) & 4, VALUES(last_error), last_error),
  checkpoint   = IF(VALUES(changed) & 8, VALUES(checkpoint), checkpoint),
  output       = IF(VALUES(changed) & 16, VALUES(output), output),
  completion   = IF(VALUES(changed) & 128, early, IF(VALUES(changed) & 32, VALUES(completion), completion)),
  early        = IF(VALUES(changed) & 64, VALUES(early), early),
  changed      = VALUES(changed)
