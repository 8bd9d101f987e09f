class Common;
