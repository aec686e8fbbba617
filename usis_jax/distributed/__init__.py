"""Several devices and hosts: mesh, sharded map, liveness, preemption, keys."""
