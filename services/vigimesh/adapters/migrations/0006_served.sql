-- what was served of which document, and which passages fed which case: to be filled.
SELECT 1;
