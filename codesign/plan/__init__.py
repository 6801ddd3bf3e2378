"""Plans: foldings, FIFO depths and the interval they reach, chosen beside a graph that stays as it is."""
