-- both are built in one transaction, in which no document is written: docs/OPERATIONS.md says when to take it.

-- what has to be looked at by now, of a kind? asked where so much is due that a page does not hold it: very much of it
-- may be of one kind and wait for somebody who does not listen. the sum keeps this question from the index by time
-- alone, in which all that waits would be walked over: a plan made for any kind takes each to be as common as another.
create index documents_due_of_kind on documents (kind, (due_at + 0)) where due_at is not null;
-- which of a kind have been at rest for so long that they need not be remembered? not of those that are never forgotten
-- and are many, or are written again and again.
create index documents_at_rest on documents (kind, at)
    where due_at is null and kind <> 'account_month' and kind <> 'house_month' and kind <> 'request'
    and kind <> 'utilisation';
