"""The command `pretrain`, also as `python -m pretrain`"""
import os, signal

# While torch is being loaded there is nothing to tidy up: a signal to stop ends the process at once, without a
# traceback.
for name in ('SIGINT', 'SIGTERM', 'SIGHUP'):
    if (s := getattr(signal, name, None)) and signal.getsignal(s)!=signal.SIG_IGN:
        signal.signal(s, lambda sig, frame: os._exit(128+sig))

# Read by OpenMP when torch is loaded. Threads that wait actively burn the core that the thread they wait for needs: on
# two cores shared with anything else that made training several times slower; waiting passively costs little when the
# cores are free.
os.environ.setdefault('OMP_WAIT_POLICY', 'passive')

from pretrain.cli import main  # noqa: E402

if __name__=='__main__': raise SystemExit(main())
