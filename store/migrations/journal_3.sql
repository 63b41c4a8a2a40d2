-- double entry, as in the first step; and what had expired goes when its money does, and what others repaid of a debt
-- that was none comes back.
drop view entries;
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
    select sequence, account, version, at, kind, case kind when 'repaid' then 'debt' else 'usage:' || meter end,
           'grants', body ->> '$.regranted[1].credits', granted
    from journal where kind in ('reversed', 'repaid') and granted is not null
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
    select sequence, account, version, at, kind, 'breakage',
           case body ->> 'cause' when 'dispute' then 'clawback' else 'refunded' end, body ->> 'lapsed', body ->> 'grant'
    from journal where kind = 'withdrawn' and 0 < body ->> 'lapsed'
    union all
    select sequence, account, version, at, kind, 'debt',
           case body ->> 'cause' when 'dispute' then 'clawback' else 'refunded' end, body ->> 'owed', null
    from journal where kind = 'withdrawn' and 0 < body ->> 'owed'
    union all
    select sequence, account, version, at, kind,
           case body ->> 'cause' when 'dispute' then 'clawback' else 'refunded' end, 'grants', credits, body ->> 'grant'
    from journal where kind = 'restored' and 0 < credits;
