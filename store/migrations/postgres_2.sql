-- which fingerprints did an account bring? asked when all accounts are moved to another store.
create index fingerprints_of on fingerprints (account);
