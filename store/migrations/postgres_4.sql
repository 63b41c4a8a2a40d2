-- double entry, as in the first step; and what had expired goes when its money does, and what others repaid of a debt
-- that was none comes back.
create or replace view entries as
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
    select account, version, at, kind, case kind when 'repaid' then 'debt' else 'usage:' || meter end, 'grants',
           (body #>> '{regranted,1,credits}')::bigint, granted
    from rows where kind in ('reversed', 'repaid') and granted is not null
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
    select account, version, at, kind, 'breakage',
           case body ->> 'cause' when 'dispute' then 'clawback' else 'refunded' end, (body ->> 'lapsed')::bigint,
           body ->> 'grant'
    from rows where kind = 'withdrawn' and 0 < (body ->> 'lapsed')::bigint
    union all
    select account, version, at, kind, 'debt',
           case body ->> 'cause' when 'dispute' then 'clawback' else 'refunded' end, (body ->> 'owed')::bigint, null
    from rows where kind = 'withdrawn' and 0 < (body ->> 'owed')::bigint
    union all
    select account, version, at, kind,
           case body ->> 'cause' when 'dispute' then 'clawback' else 'refunded' end, 'grants', credits, body ->> 'grant'
    from rows where kind = 'restored' and 0 < credits;
