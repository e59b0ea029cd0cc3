-- Reads all entries of the aggregator.
select type, domain, version, since
from hint;
