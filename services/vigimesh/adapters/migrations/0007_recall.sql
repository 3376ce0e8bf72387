-- what was recalled: to be filled.
SELECT 1;
