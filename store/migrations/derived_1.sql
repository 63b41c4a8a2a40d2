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

-- what was used, by account and hour. each fold adds a run of its own, and runs of one level are merged into one of the
-- next: an account's usage in an hour is the sum of what all runs say. run 0, which is not listed here, has what busy
-- accounts used, and is changed where it stands.
create table usage_runs (
    run        integer primary key,
    -- null while a fold writes it
    level      integer,
    -- the earliest hour in it, and the latest, as hours fall in the accounts' zones
    first_hour integer not null,
    last_hour  integer not null
) strict;

-- a run in blocks, sorted by account and hour.
-- body: {names: [text, …], rows: [[account, [[hour, [[meter, project, server, model, actor, credits, count,
--        [quantity, amount, …]], …]], …]], …]}; what is named is a place in `names`, from 0
create table usage_blocks (
    run     integer not null,
    -- the first account and hour in it
    account integer not null,
    hour    integer not null,
    body    text not null
) strict;

-- where in a run is an account?
create unique index usage_blocks_of on usage_blocks (run, account, hour);

create view usage_rows as
    with uses as (
        select body -> '$.names' as names, account.value ->> 0 as account, hour.value ->> 0 as hour, use.value as use
        from usage_blocks, json_each(body, '$.rows') as account, json_each(account.value, '$[1]') as hour,
             json_each(hour.value, '$[1]') as use
        where run = 0 or run in (select run from usage_runs)
    )
    select account, hour, names ->> (use ->> 0) as meter, names ->> (use ->> 1) as project,
           names ->> (use ->> 2) as server, names ->> (use ->> 3) as model, names ->> (use ->> 4) as actor,
           use ->> 5 as credits, use ->> 6 as count,
           (select json_group_object(names ->> name.value, amount.value)
            from json_each(use, '$[7]') as name join json_each(use, '$[7]') as amount on amount.key = name.key + 1
            where name.key % 2 = 0) as quantities
    from uses;

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
