-- Takes a row out of the order. Parameters: its place, the reason, number, id.
UPDATE {table} SET seq = ?, set_aside = ? WHERE seq = ? AND id = ?
