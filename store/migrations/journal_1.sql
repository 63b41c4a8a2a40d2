-- the truth: what happened, and what people registered. everything else can be made again from it.
-- credits are micro-credits (1 credit = 1 000 000), instants are milliseconds since 1970 in utc.

-- one row a transaction, in the order of their commits; never updated, never deleted. `body` is json:
--   work: {shape, amounts: [quantity, …], lines: [[rate, quantity, credits], …], card, project, actor, resource,
--          at (when it happened, if not the row's `at`), hour (its usage bucket, if not the utc hour), …}
--          `shape` is a number of `shapes`; work without one has quantities: {name: quantity} and dimensions
--          `rate` is a number of `rates`; a line without one is [item, quantity, unit, unit_price, per, credits]
--   draws: [[grant, credits, pot: "held" or "expired", absent for the free one], …]
--   after: [posted, held, accrued, debt], trailing zeros left out
create table journal (
    sequence integer primary key,
    account  integer not null,
    -- counts the account's transactions from 1
    version  integer not null,
    -- sequence of the account's transaction before this one; 0 for its first
    previous integer not null,
    at       integer not null,
    kind     text not null,
    -- credits moved
    credits  integer not null,
    meter    text,
    -- the caller's idempotency key, and the fingerprint of the request that came with it
    key      text,
    request  blob,
    -- hash of what this settles for ever, such as the end of a hold
    fact     blob,
    -- name of the api key that asked
    by       text,
    -- the grant that this made
    granted  text,
    body     text not null
) strict;

-- which transactions of an account made its grants? grants are rare: the only index that a commit keeps.
create index granting on journal (account, version) where granted is not null;

-- what price lines have in common: the rates of the rate cards, one row each, made when first used.
create table rates (
    number     integer primary key,
    item       text not null,
    unit       text not null,
    -- of `per` units
    unit_price integer not null,
    per        integer not null
) strict;

-- what usages have in common, one row each, made when met for the second time.
-- body: {quantities: [name, …], dimensions: {name: value}}
create table shapes (
    number integer primary key,
    body   text not null
) strict;

create table accounts (
    number    integer primary key,
    id        text not null unique,
    at        integer not null,
    name      text,
    email     text,
    currency  text not null,
    timezone  text not null,
    address   text,
    tax_id    text,
    closed_at integer
) strict;

-- which accounts have a word in their id, name or e-mail address that begins so? in lower case, each word by itself.
create table account_words (
    word    text not null,
    account integer not null,
    primary key (word, account)
) strict, without rowid;
create index account_words_account on account_words (account);

-- signups already used: one welcome grant each.
create table fingerprints (fingerprint blob primary key, account integer not null) strict, without rowid;

-- which did an account bring?
create index fingerprints_of on fingerprints (account);

create table projects (
    account    integer not null,
    id         text not null,
    name       text,
    at         integer not null,
    deleted_at integer,
    primary key (account, id)
) strict, without rowid;

create table rate_cards (
    version      integer primary key,
    effective_at integer not null,
    at           integer not null,
    by           text not null,
    document     text not null
) strict;

create table api_keys (
    id         text primary key,
    name       text not null unique,
    -- sha-256 of the secret
    hash       blob not null,
    -- separated by spaces
    scopes     text not null,
    at         integer not null,
    revoked_at integer
) strict;

create table quotes (
    account    integer not null,
    id         text not null,
    expires_at integer not null,
    body       text not null,
    primary key (account, id)
) strict, without rowid;

-- payments, subscriptions, notices on their way: the newest state of each. account 0 is the house.
create table documents (
    account integer not null,
    kind    text not null,
    id      text not null,
    -- counts its states from 1
    version integer not null,
    at      integer not null,
    due_at  integer,
    body    text not null,
    primary key (account, kind, id)
) strict, without rowid;

-- what has to be looked at by now? most documents are at rest.
create index documents_due on documents (due_at) where due_at is not null;

-- which payments of any account changed last?
create index documents_payments on documents (at) where kind = 'payment';

-- answers to requests that belong to no account, by the hash of their key.
create table replies (
    key     blob primary key,
    request blob not null,
    status  integer not null,
    body    text not null
) strict, without rowid;

create table audit (
    number  integer primary key,
    at      integer not null,
    by      text not null,
    action  text not null,
    subject text not null,
    detail  text not null
) strict;

-- what was charged, for what?
create view charges as
    select sequence, account, version, at, meter, credits, key, by, journal.body ->> '$.work.project' as project,
           journal.body ->> '$.work.actor' as actor,
           coalesce(shapes.body ->> '$.dimensions.model', journal.body ->> '$.work.dimensions.model') as model,
           iif(shapes.number is null, journal.body -> '$.work.quantities',
               (select json_group_object(name.value, amount.value)
                from json_each(shapes.body, '$.quantities') as name
                join json_each(journal.body, '$.work.amounts') as amount using (key))) as quantities,
           journal.body ->> '$.work.card' as rate_card
    from journal left join shapes on number = journal.body ->> '$.work.shape' where kind = 'charged';

-- by which lines did a price come about? of charges, of what holds planned, of what was reversed.
create view price_lines as
    select sequence, account, version, at, kind, meter,
           coalesce(item, line.value ->> 0) as item, line.value ->> 1 as quantity,
           coalesce(unit, line.value ->> 2) as unit,
           coalesce(unit_price, line.value ->> 3) as unit_price, coalesce(per, line.value ->> 4) as per,
           line.value ->> case when number is null then 5 else 2 end as credits
    from journal, json_each(body, '$.work.lines') as line
    left join rates on number = line.value ->> 0 and json_type(line.value, '$[0]') = 'integer';

-- double entry: each row takes from one ledger account what it puts into another. the house's ledger accounts are
-- issuance, usage, breakage, voided, refunded and clawback; an account's own are grants, held and debt.
create view entries as
    with moved as (
        -- draws go from a grant's pot to work, to a hold and back, or from work to a pot
        select sequence, account, version, at, kind, draw.value ->> 0 as grant_id, draw.value ->> 1 as credits,
               'usage:' || meter as work,
               case draw.value ->> 2 when 'held' then 'held' when 'expired' then 'breakage' else 'grants' end as pot
        from journal, json_each(body, '$.draws') as draw
    )
    select sequence, account, version, at, kind,
           case kind when 'charged' then pot when 'reversed' then work when 'released' then 'held' else 'grants' end
               as from_account,
           case kind when 'charged' then work when 'reversed' then pot when 'released' then 'grants' else 'held' end
               as to_account,
           credits, grant_id
    from moved where 0 < credits
    union all
    select sequence, account, version, at, kind, 'held', 'grants', freed.value ->> 1, freed.value ->> 0
    from journal, json_each(body, '$.closing.released') as freed where 0 < freed.value ->> 1
    union all
    select sequence, account, version, at, kind, 'debt', 'usage:' || meter, body ->> 'owed', null
    from journal where kind = 'charged' and 0 < body ->> 'owed'
    union all
    select sequence, account, version, at, kind, 'usage:' || meter, 'debt', body ->> 'forgiven', null
    from journal where kind = 'reversed' and 0 < body ->> 'forgiven'
    union all
    select sequence, account, version, at, kind, 'usage:' || meter, 'grants', body ->> '$.regranted[1].credits', granted
    from journal where kind = 'reversed' and granted is not null
    union all
    select sequence, account, version, at, kind, 'issuance:' || (body ->> '$.terms.source'), 'grants', credits, granted
    from journal where kind = 'granted' and 0 < credits
    union all
    select sequence, account, version, at, kind, 'grants',
           case kind when 'repaid' then 'debt' when 'voided' then 'voided' else 'breakage' end,
           credits, body ->> 'grant'
    from journal where kind in ('repaid', 'voided', 'expired') and 0 < credits
    union all
    select sequence, account, version, at, kind, 'grants',
           case body ->> 'cause' when 'dispute' then 'clawback' else 'refunded' end, credits, body ->> 'grant'
    from journal where kind = 'withdrawn' and 0 < credits
    union all
    select sequence, account, version, at, kind, 'debt',
           case body ->> 'cause' when 'dispute' then 'clawback' else 'refunded' end, body ->> 'owed', null
    from journal where kind = 'withdrawn' and 0 < body ->> 'owed'
    union all
    select sequence, account, version, at, kind,
           case body ->> 'cause' when 'dispute' then 'clawback' else 'refunded' end, 'grants', credits, body ->> 'grant'
    from journal where kind = 'restored' and 0 < credits;
