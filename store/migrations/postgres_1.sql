-- the truth: what happened, and what people registered; and beside it what follows from the journal and is kept in the
-- same commit. credits are micro-credits (1 credit = 1 000 000), instants are milliseconds since 1970 in utc.
--
-- the same tables serve one machine and many: each key of what grows begins with the account, by which it can be spread
-- over machines. nothing here needs a sequence, a trigger or a lock of its own.

-- one row a transaction; never updated, never deleted. `body` is json:
--   work: {quantities, dimensions, lines: [[item, quantity, unit, unit_price, per, credits], …], card, project, actor,
--          resource, at (when it happened, if not the row's `at`), hour (its usage bucket, if not the utc hour), …}
--   draws: [[grant, credits, pot: "held" or "expired", absent for the free one], …]
--   after: [posted, held, accrued, debt], trailing zeros left out
create table journal (
    account bigint not null,
    -- counts the account's transactions from 1
    version bigint not null,
    at      bigint not null,
    kind    text not null,
    -- credits moved
    credits bigint not null,
    meter   text,
    -- the caller's idempotency key, the first 64 bits of its hash, and the fingerprint of the request that came with it
    key     text,
    name    bigint,
    request bytea,
    -- hash of what this settles for ever, such as the end of a hold
    fact    bytea,
    -- name of the api key that asked
    by      text,
    -- the grant that this made
    granted text,
    body    text not null,
    primary key (account, version)
);

-- which transaction has a name? names are hashes: eight bytes find it, the row itself confirms it.
create index journal_name on journal (name) where name is not null;
create index journal_fact on journal (fact) where fact is not null;
-- which transactions of an account made its grants?
create index journal_granted on journal (account, version) where granted is not null;

-- how far an account is. who changes an account locks this row first.
create table books (
    account bigint primary key,
    -- of its newest transaction
    version bigint not null,
    -- when time itself will change the account
    due_at  bigint,
    -- all of the account's book after that but the terms of its grants, as json: a node that has an older one at hand
    -- has these, and need not read what others did since. null where no other node is about, and where it is long.
    head    text
) with (fillfactor = 50);

-- which accounts have something due?
create index books_due on books (due_at, account) where due_at is not null;

-- an account's state after its transaction `version`, taken every sixteenth. what came after is in the journal, 15 rows
-- at most; so is all of an account that has fewer.
create table snapshots (
    account bigint primary key,
    version bigint not null,
    body    text not null
) with (fillfactor = 70);

-- an account's usage in the hour that starts at `hour`, as hours fall in the account's zone: of its transactions up to
-- the last version that 64 divides. what came after is in the journal, 63 rows at most.
-- body: [[meter, project, server, model, actor, credits, count, {quantity: amount, …}], …]
create table usage (
    account bigint not null,
    hour    bigint not null,
    body    text not null,
    primary key (account, hour)
) with (fillfactor = 70);

create table accounts (
    number    bigint primary key,
    id        text collate "C" not null unique,
    at        bigint not null,
    name      text,
    email     text,
    currency  text not null,
    timezone  text not null,
    address   text,
    tax_id    text,
    closed_at bigint,
    -- when this row was last changed, by the database's clock; null where it never was
    changed_at bigint
);

-- which profiles have changed lately? nodes that have them at hand ask once a second.
create index accounts_changed on accounts (changed_at) where changed_at is not null;

-- which accounts have a word in their id, name or e-mail address that begins so? in lower case, each word by itself.
create table account_words (
    word    text collate "C" not null,
    account bigint not null,
    primary key (word, account)
);
create index account_words_account on account_words (account);

-- signups already used: one welcome grant each.
create table fingerprints (fingerprint bytea primary key, account bigint not null);

create table projects (
    account    bigint not null,
    id         text collate "C" not null,
    name       text,
    at         bigint not null,
    deleted_at bigint,
    primary key (account, id)
);

create table rate_cards (
    version      bigint primary key,
    effective_at bigint not null,
    at           bigint not null,
    by           text not null,
    document     text not null
);

create table api_keys (
    id         text primary key,
    -- the order in which they were made
    number     bigint not null unique,
    name       text not null unique,
    -- sha-256 of the secret
    hash       bytea not null,
    -- separated by spaces
    scopes     text not null,
    at         bigint not null,
    revoked_at bigint
);

create table quotes (
    account    bigint not null,
    id         text collate "C" not null,
    expires_at bigint not null,
    body       text not null,
    primary key (account, id)
);

-- payments, subscriptions, notices on their way: the newest state of each. account 0 is the house.
create table documents (
    account bigint not null,
    kind    text collate "C" not null,
    id      text collate "C" not null,
    -- counts its states from 1
    version bigint not null,
    at      bigint not null,
    due_at  bigint,
    body    text not null,
    primary key (account, kind, id)
);

-- what has to be looked at by now? most documents are at rest.
create index documents_due on documents (due_at) where due_at is not null;
-- which payments of any account changed last?
create index documents_payments on documents (at) where kind = 'payment';

-- answers to requests that belong to no account, by the hash of their key.
create table replies (
    key     bytea primary key,
    request bytea not null,
    status  bigint not null,
    body    text not null
);

create table audit (
    -- by the clock of the node that wrote it (milliseconds, then four bits that count), and in the last sixteen bits
    -- which node that was
    number  bigint primary key,
    at      bigint not null,
    by      text not null,
    action  text not null,
    subject text not null,
    detail  text not null
);

-- what was charged, for what?
create view charges as
    select account, version, at, meter, credits, key, by, body::jsonb #>> '{work,project}' as project,
           body::jsonb #>> '{work,actor}' as actor, body::jsonb #>> '{work,dimensions,model}' as model,
           body::jsonb #> '{work,quantities}' as quantities, body::jsonb #>> '{work,card}' as rate_card
    from journal where kind = 'charged';

-- double entry: each row takes from one ledger account what it puts into another. the house's ledger accounts are
-- issuance, usage, breakage, voided, refunded and clawback; an account's own are grants, held and debt.
create view entries as
    with rows as (
        select account, version, at, kind, credits, meter, granted, body::jsonb as body from journal
    ), moved as (
        -- draws go from a grant's pot to work, to a hold and back, or from work to a pot
        select account, version, at, kind, draw ->> 0 as grant_id, (draw ->> 1)::bigint as credits,
               'usage:' || meter as work,
               case draw ->> 2 when 'held' then 'held' when 'expired' then 'breakage' else 'grants' end as pot
        from rows, jsonb_array_elements(body -> 'draws') as draw
    )
    select account, version, at, kind,
           case kind when 'charged' then pot when 'reversed' then work when 'released' then 'held' else 'grants' end
               as from_account,
           case kind when 'charged' then work when 'reversed' then pot when 'released' then 'grants' else 'held' end
               as to_account,
           credits, grant_id
    from moved where 0 < credits
    union all
    select account, version, at, kind, 'held', 'grants', (freed ->> 1)::bigint, freed ->> 0
    from rows, jsonb_array_elements(body #> '{closing,released}') as freed where 0 < (freed ->> 1)::bigint
    union all
    select account, version, at, kind, 'debt', 'usage:' || meter, (body ->> 'owed')::bigint, null
    from rows where kind = 'charged' and 0 < (body ->> 'owed')::bigint
    union all
    select account, version, at, kind, 'usage:' || meter, 'debt', (body ->> 'forgiven')::bigint, null
    from rows where kind = 'reversed' and 0 < (body ->> 'forgiven')::bigint
    union all
    select account, version, at, kind, 'usage:' || meter, 'grants', (body #>> '{regranted,1,credits}')::bigint, granted
    from rows where kind = 'reversed' and granted is not null
    union all
    select account, version, at, kind, 'issuance:' || (body #>> '{terms,source}'), 'grants', credits, granted
    from rows where kind = 'granted' and 0 < credits
    union all
    select account, version, at, kind, 'grants',
           case kind when 'repaid' then 'debt' when 'voided' then 'voided' else 'breakage' end,
           credits, body ->> 'grant'
    from rows where kind in ('repaid', 'voided', 'expired') and 0 < credits
    union all
    select account, version, at, kind, 'grants',
           case body ->> 'cause' when 'dispute' then 'clawback' else 'refunded' end, credits, body ->> 'grant'
    from rows where kind = 'withdrawn' and 0 < credits
    union all
    select account, version, at, kind, 'debt',
           case body ->> 'cause' when 'dispute' then 'clawback' else 'refunded' end, (body ->> 'owed')::bigint, null
    from rows where kind = 'withdrawn' and 0 < (body ->> 'owed')::bigint
    union all
    select account, version, at, kind,
           case body ->> 'cause' when 'dispute' then 'clawback' else 'refunded' end, 'grants', credits, body ->> 'grant'
    from rows where kind = 'restored' and 0 < credits;
