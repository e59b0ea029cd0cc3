package queuetest

var groupRules, faultRules []testCase
