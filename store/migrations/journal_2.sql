-- what has to be looked at by now, of a kind? most documents are at rest; of those that are not, very many may be of
-- one kind and wait for somebody who does not listen, and none of them is in the way of another kind's.
drop index documents_due;
create index documents_due on documents (kind, due_at) where due_at is not null;
-- which of a kind have been at rest for so long that they need not be remembered? not of those that are never forgotten
-- and are many, or are written again and again.
create index documents_at_rest on documents (kind, at)
    where due_at is null and kind <> 'account_month' and kind <> 'house_month' and kind <> 'request'
    and kind <> 'utilisation';
