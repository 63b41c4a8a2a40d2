-- what has to be looked at by now, of a kind? asked where so much is due that a page does not hold it: very much of it may
-- be of one kind and wait for somebody who does not listen.
create index documents_due_of_kind on documents (kind, due_at) where due_at is not null;
-- which of a kind have been at rest for so long that they need not be remembered?
create index documents_at_rest on documents (kind, at) where due_at is null;
