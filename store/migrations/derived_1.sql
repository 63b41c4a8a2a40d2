-- what follows from the journal. it lags behind by what `folded` says, and may be deleted while no scrip runs: it is
-- made again. credits are micro-credits, instants are milliseconds since 1970 in utc.

-- journal rows up to this sequence are in every table below; later ones may be in some.
create table progress (folded integer not null) strict;
insert into progress (folded) values (0);

-- an account's state after the transaction `version`, which is the journal's row `sequence`.
create table books (
    account  integer primary key,
    version  integer not null,
    sequence integer not null,
    -- when time itself will change the book
    due_at   integer,
    body     text not null
) strict;

-- what was agreed when a grant was made, by the transaction that made it; a book's `body` has the rest.
create table terms (
    account integer not null,
    version integer not null,
    body    text not null,
    primary key (account, version)
) strict, without rowid;

-- which accounts have something due?
create index due on books (due_at) where due_at is not null;

-- where is a transaction of an account? each 64th says; from there the journal's `previous` leads back.
create table milestones (
    account  integer not null,
    version  integer not null,
    sequence integer not null,
    primary key (account, version)
) strict, without rowid;

-- an account's usage in the hour that starts at `hour`, as hours fall in the account's zone: the sum of its rows, which
-- are made one now and then.
-- body: [[meter, project, server, model, actor, credits, count, {quantity: amount}], …]
create table usage (
    account integer not null,
    hour    integer not null,
    -- of the last transaction that is in this row
    version integer not null,
    body    text not null,
    primary key (account, hour, version)
) strict, without rowid;

create view usage_rows as
    select account, hour, value ->> 0 as meter, value ->> 1 as project, value ->> 2 as server,
           value ->> 3 as model, value ->> 4 as actor, value ->> 5 as credits,
           value ->> 6 as count, value -> 7 as quantities
    from usage, json_each(body);

-- which transaction has a name? names are hashes, so each new one would fall on another page of an index. instead
-- they are sorted in runs, and runs of one level are merged into one of the next. `filter` says, nearly always
-- rightly, that a name is not in its run.
create table name_runs (
    run    integer primary key,
    level  integer not null,
    count  integer not null,
    filter blob not null
) strict;

-- a sorted run in blocks that fill a page each. body: pairs of 8 bytes, big end first: the first 63 bits of a name, and
-- the journal row it stands for. place: the run, and below it in 40 bits the top of the block's first name; 0 there in
-- a run's first block.
create table name_blocks (place integer primary key, body blob not null) strict;
