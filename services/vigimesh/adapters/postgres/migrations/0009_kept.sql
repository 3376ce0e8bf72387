-- What summaries cost, and what is kept of the uses that recall asks.

-- By product, day (UTC) and currency; booked in the transaction that keeps the summary.
CREATE TABLE knowledge.summary_cost (
    product    text   NOT NULL,
    day        date   NOT NULL,
    currency   text   NOT NULL,
    made       bigint NOT NULL,
    -- Of both versions.
    characters bigint NOT NULL,
    micro      bigint NOT NULL,
    PRIMARY KEY (product, day, currency)
);

-- The oldest uses are looked at first, see recall.sql.
CREATE INDEX used_by_age ON knowledge.used (at);
