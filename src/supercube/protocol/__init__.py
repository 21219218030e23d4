"""How a run goes: initial states and schedules."""
