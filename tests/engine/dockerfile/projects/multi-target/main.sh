echo "mode $MODE"
