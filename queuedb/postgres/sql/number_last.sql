-- Returns the last number that was handed out, about.
select last_value + 999
from number;
