-- What one task has, wherever it is. Parameter: the id.
SELECT {payload}, {headers} FROM retry_task t LEFT JOIN retry_body b FORCE INDEX (PRIMARY) ON b.id = t.id AND t.payload IS NULL WHERE t.id = ?
