"A module that takes forever to load"
import time
time.sleep(1000)
