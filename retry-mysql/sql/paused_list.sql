-- The paused queues. No parameters.
SELECT queue FROM retry_paused ORDER BY queue
