-- the text and sections of each version, who brought it, what is not announced yet: to be filled.
SELECT 1;
