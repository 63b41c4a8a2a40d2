-- spreads the tables over the machines of a citus cluster, once, while they are small: what belongs to an account goes
-- where the account goes, what is global is copied to every machine. the tables themselves stay the same.
select create_distributed_table('journal', 'account');
select create_distributed_table('books', 'account', colocate_with => 'journal');
select create_distributed_table('snapshots', 'account', colocate_with => 'journal');
select create_distributed_table('usage', 'account', colocate_with => 'journal');
select create_distributed_table('projects', 'account', colocate_with => 'journal');
select create_distributed_table('quotes', 'account', colocate_with => 'journal');
select create_distributed_table('documents', 'account', colocate_with => 'journal');
select create_reference_table('accounts');
select create_reference_table('account_words');
select create_reference_table('fingerprints');
select create_reference_table('rate_cards');
select create_reference_table('api_keys');
select create_reference_table('replies');
select create_reference_table('audit');
