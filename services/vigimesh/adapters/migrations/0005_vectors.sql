-- vectors of passages: to be filled.
SELECT 1;
