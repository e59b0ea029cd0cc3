-- Returns the last number that was handed out.
select last
from meta;
