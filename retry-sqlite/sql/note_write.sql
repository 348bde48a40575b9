-- The rarely written fields of a task. ?1 number; then pairs of a switch and a value, of which a switch of 0 keeps what
-- is stored: ?2 ?3 reruns, ?4 ?5 via_fallback, ?6 ?7 last_error, ?8 ?9 checkpoint, ?10 ?11 output; at last the two
-- completions: ?12 0 keep, 1 deliver ?13, 2 deliver the early one, 3 clear both.
INSERT INTO retry_note (number, reruns, via_fallback, last_error, completion, early, checkpoint, output)
VALUES (?1, iif(?2, ?3, 0), iif(?4, ?5, 0), iif(?6, ?7, NULL), iif(?12 = 1, ?13, NULL), NULL, iif(?8, ?9, NULL),
        iif(?10, ?11, NULL))
ON CONFLICT (number) DO UPDATE
   SET reruns = iif(?2, ?3, reruns), via_fallback = iif(?4, ?5, via_fallback), last_error = iif(?6, ?7, last_error),
       completion = CASE ?12 WHEN 0 THEN completion WHEN 1 THEN ?13 WHEN 2 THEN early END,
       early = iif(?12 = 0, early, NULL),
       checkpoint = iif(?8, ?9, checkpoint), output = iif(?10, ?11, output);
